"""References that only the agent resolves: `ref+env`, `ref+file`, `ref+awssm`, `ref+gcpsm`. One file per scheme."""
