"""What the install agent of a stage has in its states."""

from pathlib import Path

from agent.identity import Home
from agent.install.terraform_module.kept_state import KeptStates
from agent.state.place import Place, open_states, remembered


def states(home: Path) -> list[bytes]:
    """Every state that the agent of `home` keeps."""
    identity = Home(home).identity()
    assert identity
    of = open_states(remembered(home) or Place(), home, identity.enrolled.install_id or "", identity.enrolled.agent_id)
    return [stored.state for component in of.components() if (stored := of.of(component).load())]


def addresses(home: Path) -> dict[str, list[str]]:
    """The objects of each component in the states that the agent of `home` keeps."""
    identity = Home(home).identity()
    assert identity
    kept = KeptStates(home, identity.enrolled.install_id or "", identity.enrolled.agent_id)
    return {one.component: [each["address"] for each in kept.outline(one.component, None)["resources"]] for one in kept.list()}
