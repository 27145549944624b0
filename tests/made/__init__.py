"""What tests and benchmarks are made of: reports, and runs in a metadata database."""
