"""Bodies, boards, limits and rules: data only. This file marks the folder so that installed copies are found."""
