"""How alike are query and key? One file each."""
