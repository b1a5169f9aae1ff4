"""What ties a job to what the vendor's build side has signed: docs/decisions/0019 says what it can't tie."""
