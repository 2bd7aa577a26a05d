"""What a run stands on, whatever it trains: devices, time, files, signals."""
