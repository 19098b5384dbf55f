internal import Shim

Shim.main()
