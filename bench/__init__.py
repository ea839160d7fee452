"""The benchmark: Evenhand and its peers, in turn, on one core, under the same load."""
