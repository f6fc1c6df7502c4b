"""Commerce on real servers."""
