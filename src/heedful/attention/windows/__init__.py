"""Which keys, how strongly? One file each."""
