from eatool.cli import main

main()
