internal import CLI

await NightjarCommand.runToExit()
