"""Arrays and tokens in, figures and self-contained HTML out."""
