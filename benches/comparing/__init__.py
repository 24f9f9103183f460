"""What `benches/compare` is made of: one subject a file.

cases    what is measured, and the goals
peers    the programs: what they need, how they are built and called
running  rounds in which all programs take turns
results  figures out of the lines that programs print
limits   what the bare machine would take
tables   Markdown
plots    SVG
"""
