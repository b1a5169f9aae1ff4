"""Ready-made rules for the types that the common clouds have: a rule takes one with `use`.

They know the types that are listed here and no others. What a provider adds later, or what a program does that a module runs,
only the roles that the customer gives the agent can hold back.
"""

from agent.policy.document import Condition, Rule
from agent.policy.planned import Action

_LOST: tuple[Action, ...] = ("delete", "replace", "forget")
_MADE: tuple[Action, ...] = ("create", "update", "replace", "import")
_ANYONE: tuple[str, ...] = ("0.0.0.0/0", "::/0", "*", "Internet", "Any")

_DATABASES = (
    "aws_db_*", "aws_rds_*", "aws_dynamodb_*", "aws_docdb_*", "aws_docdbelastic_*", "aws_neptune_*", "aws_redshift_*",
    "aws_elasticache_*", "aws_memorydb_*", "aws_opensearch_domain", "aws_elasticsearch_domain", "aws_keyspaces_*",
    "aws_timestreamwrite_*", "aws_dsql_*",
    "google_sql_*", "google_spanner_*", "google_bigtable_*", "google_firestore_*", "google_alloydb_*", "google_redis_*",
    "google_memorystore_*", "google_bigquery_dataset", "google_bigquery_table",
    "azurerm_*sql*", "azurerm_cosmosdb_*", "azurerm_mariadb_*", "azurerm_redis_*", "azurerm_managed_redis*",
    "StatefulSet", "PersistentVolumeClaim", "PersistentVolume",
)  # fmt: skip

_STORAGE = (
    "aws_s3_bucket", "aws_s3_directory_bucket", "aws_efs_file_system", "aws_ebs_volume", "aws_fsx_*", "aws_backup_vault",
    "aws_kms_key", "aws_secretsmanager_secret",
    "google_storage_bucket", "google_filestore_*", "google_compute_disk", "google_compute_region_disk",
    "google_kms_key_ring", "google_kms_crypto_key", "google_secret_manager_secret",
    "azurerm_storage_account", "azurerm_storage_container", "azurerm_storage_share", "azurerm_managed_disk",
    "azurerm_key_vault", "azurerm_key_vault_key", "azurerm_key_vault_secret",
    "PersistentVolumeClaim", "PersistentVolume",
)  # fmt: skip

_IAM = (
    "aws_iam_*", "aws_ssoadmin_*", "aws_identitystore_*", "aws_organizations_*", "aws_kms_grant", "aws_kms_key_policy",
    "aws_lambda_permission", "aws_s3_bucket_policy", "aws_sqs_queue_policy", "aws_sns_topic_policy",
    "aws_ecr_repository_policy",
    "aws_secretsmanager_secret_policy", "aws_vpc_endpoint_policy", "aws_eks_access_*", "aws_eks_pod_identity_association",
    "aws_ram_*", "aws_rolesanywhere_*",
    "google_*_iam_*", "google_iam_*", "google_service_account*", "google_project_iam*", "google_organization_iam*",
    "google_folder_iam*",
    "azurerm_role_*", "azurerm_user_assigned_identity", "azurerm_federated_identity_credential",
    "azurerm_key_vault_access_policy", "azurerm_pim_*", "azuread_*",
    "Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding", "ServiceAccount",
)  # fmt: skip

_WAYS_OUT = (
    "aws_internet_gateway*", "aws_egress_only_internet_gateway", "aws_nat_gateway", "aws_eip*", "aws_vpc_peering_connection*",
    "aws_ec2_transit_gateway*", "aws_vpn_*", "aws_customer_gateway", "aws_dx_*",
    "google_compute_router_nat", "google_compute_network_peering", "google_compute_vpn_*", "google_compute_ha_vpn_gateway",
    "google_compute_external_vpn_gateway", "google_compute_interconnect_*",
    "azurerm_nat_gateway*", "azurerm_public_ip*", "azurerm_virtual_network_peering", "azurerm_virtual_network_gateway*",
    "azurerm_vpn_*", "azurerm_express_route_*",
)  # fmt: skip


def _rule(*types: str, where: dict[str, object] | None = None, actions: tuple[Action, ...] = _MADE) -> Rule:
    conditions = tuple(
        Condition.model_validate({"attribute": attribute, ("one_of" if isinstance(value, tuple) else "equals"): value})
        for attribute, value in (where or {}).items()
    )
    return Rule(name="ready-made", types=types, actions=actions, where=conditions)


RULE_SETS: dict[str, tuple[Rule, ...]] = {
    "no-iam-changes": (Rule(name="ready-made", types=_IAM),),
    "no-database-loss": (_rule(*_DATABASES, actions=_LOST),),
    "no-storage-loss": (_rule(*_STORAGE, actions=_LOST),),
    "no-egress": (
        _rule(*_WAYS_OUT),
        *(_rule("aws_route", where={name: _ANYONE}) for name in ("destination_cidr_block", "destination_ipv6_cidr_block")),
        *(_rule("aws_route_table", where={f"route.*.{name}": _ANYONE}) for name in ("cidr_block", "ipv6_cidr_block")),
        *(_rule("aws_security_group", where={f"egress.*.{name}.*": _ANYONE}) for name in ("cidr_blocks", "ipv6_cidr_blocks")),
        *(
            _rule("aws_security_group_rule", where={"type": "egress", f"{name}.*": _ANYONE})
            for name in ("cidr_blocks", "ipv6_cidr_blocks")
        ),
        *(_rule("aws_vpc_security_group_egress_rule", where={name: _ANYONE}) for name in ("cidr_ipv4", "cidr_ipv6")),
        _rule("google_compute_firewall", where={"direction": "EGRESS", "allow.*.protocol": ("all", "tcp", "udp", "6", "17")}),
        _rule("google_compute_route", where={"dest_range": _ANYONE}),
        _rule(
            "azurerm_network_security_rule",
            where={"direction": "Outbound", "access": "Allow", "destination_address_prefix": _ANYONE},
        ),
        _rule("azurerm_route", where={"next_hop_type": "Internet"}),
    ),
    "no-public-ingress": (
        *(_rule("aws_security_group", where={f"ingress.*.{name}.*": _ANYONE}) for name in ("cidr_blocks", "ipv6_cidr_blocks")),
        *(
            _rule("aws_security_group_rule", where={"type": "ingress", f"{name}.*": _ANYONE})
            for name in ("cidr_blocks", "ipv6_cidr_blocks")
        ),
        *(_rule("aws_vpc_security_group_ingress_rule", where={name: _ANYONE}) for name in ("cidr_ipv4", "cidr_ipv6")),
        _rule("aws_lb", "aws_alb", where={"internal": False}),
        _rule("aws_db_instance", "aws_rds_cluster_instance", where={"publicly_accessible": True}),
        _rule("google_compute_firewall", where={"direction": "INGRESS", "source_ranges.*": _ANYONE}),
        _rule("google_*_iam_member", where={"member": ("allUsers", "allAuthenticatedUsers")}),
        _rule(
            "azurerm_network_security_rule",
            where={"direction": "Inbound", "access": "Allow", "source_address_prefix": _ANYONE},
        ),
        _rule("Service", where={"spec.type": ("LoadBalancer", "NodePort")}),
        _rule("Ingress", "Gateway"),
    ),
}
