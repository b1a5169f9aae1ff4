"""The customer's rules: what the install agent may do, said in a file that the IMS can't change."""
