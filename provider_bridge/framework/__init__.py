"""What every Terraform provider does: schema, validation, planning, diagnostics, calls. Knows nothing of Exclave."""
