internal import GuestInit

GuestInit.main()
