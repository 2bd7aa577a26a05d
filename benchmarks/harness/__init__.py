"""What every benchmark needs: processes to measure, a stopwatch, turns, and the machine's name."""
