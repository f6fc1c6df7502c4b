"""What statements read where tables have grown for a quarter."""
