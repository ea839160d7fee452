"""The RFCs as a table of cases: exact bytes in, a verdict on what comes out."""
