"""
__main__: ``python -m jetq``.
"""

from jetq.cli.main import main

main()
