"""What a flight was: figures, expectations, plots and one self-contained page, all from its black box."""
