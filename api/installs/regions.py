"""Where an install can be: the regions of each platform, so that a mistyped one is found before anything is deployed.

The lists are those that the providers publish, special partitions (government, China) included. A region that is newer than
this file is taken with the platform `custom`, which has no list.
"""

import difflib

from api.contract.base import Platform
from api.contract.problems import FieldProblem

_AWS = """
af-south-1 ap-east-1 ap-east-2 ap-northeast-1 ap-northeast-2 ap-northeast-3 ap-south-1 ap-south-2 ap-southeast-1
ap-southeast-2 ap-southeast-3 ap-southeast-4 ap-southeast-5 ap-southeast-6 ap-southeast-7 ca-central-1 ca-west-1
cn-north-1 cn-northwest-1 eu-central-1 eu-central-2 eu-north-1 eu-south-1 eu-south-2 eu-west-1 eu-west-2 eu-west-3
eusc-de-east-1 il-central-1 me-central-1 me-south-1 mx-central-1 sa-east-1 us-east-1 us-east-2 us-gov-east-1
us-gov-west-1 us-west-1 us-west-2
"""
_GOOGLE = """
africa-south1 asia-east1 asia-east2 asia-northeast1 asia-northeast2 asia-northeast3 asia-south1 asia-south2
asia-southeast1 asia-southeast2 asia-southeast3 australia-southeast1 australia-southeast2 europe-central2 europe-north1
europe-north2 europe-southwest1 europe-west1 europe-west10 europe-west12 europe-west2 europe-west3 europe-west4
europe-west6 europe-west8 europe-west9 me-central1 me-central2 me-west1 northamerica-northeast1 northamerica-northeast2
northamerica-south1 southamerica-east1 southamerica-west1 us-central1 us-east1 us-east4 us-east5 us-south1 us-west1
us-west2 us-west3 us-west4
"""
_AZURE = """
australiacentral australiacentral2 australiaeast australiasoutheast austriaeast belgiumcentral brazilsouth
brazilsoutheast canadacentral canadaeast centralindia centralus chilecentral chinaeast chinaeast2 chinaeast3 chinanorth
chinanorth2 chinanorth3 denmarkeast eastasia eastus eastus2 francecentral francesouth germanynorth germanywestcentral
indonesiacentral israelcentral italynorth japaneast japanwest jioindiacentral jioindiawest koreacentral koreasouth
malaysiawest mexicocentral newzealandnorth northcentralus northeurope norwayeast norwaywest polandcentral qatarcentral
southafricanorth southafricawest southcentralus southeastasia southindia spaincentral swedencentral swedensouth
switzerlandnorth switzerlandwest uaecentral uaenorth uksouth ukwest usdodcentral usdodeast usgovarizona usgovtexas
usgovvirginia westcentralus westeurope westindia westus westus2 westus3
"""

REGIONS: dict[Platform, frozenset[str]] = {
    "aws": frozenset(_AWS.split()),
    "google": frozenset(_GOOGLE.split()),
    "azure": frozenset(_AZURE.split()),
}


def check_region(platform: Platform | None, region: str | None) -> list[FieldProblem]:
    """What is wrong with where an install is. Fields are `platform` and `region`."""
    if region is None:
        return []
    if platform is None:
        message = f"region {region!r} is given without its platform"
        remedy = "Give `platform`: aws, google or azure; custom for any other place."
        return [FieldProblem(field="platform", message=message, remedy=remedy)]
    known = REGIONS.get(platform)
    if known is None or region in known:
        return []
    near = difflib.get_close_matches(region, sorted(known), n=3)
    meant = f"Did you mean {', '.join(map(repr, near))}? " if near else ""
    remedy = f"{meant}A region that is newer than this Exclave is taken with the platform `custom`."
    return [FieldProblem(field="region", message=f"{platform} has no region {region!r} that is known here", remedy=remedy)]
