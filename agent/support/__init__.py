"""`exclave agent support-bundle`: one file that tells whoever helps how an agent is, and never a secret."""
