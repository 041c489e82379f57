"""What must survive a crash: records by kind and key, committed all or nothing."""
