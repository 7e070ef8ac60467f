import { Command, Option } from 'commander'
import { BEHAVIOUR_FORMS, DEVICE_KINDS } from '../simulator/index.ts'
import {
  DEFAULT_APNS_CA, DEFAULT_CA, parseAddress, parseBehaviourOption, parseCount, parseDuration, parsePlatforms,
  parseServerUrl, planSimulation, type SimulateOptions,
} from './simulate-plan.ts'
import { runSimulation } from './simulate-run.ts'

const DEFAULT_APNS = '127.0.0.1:2197'

/**
 * `bramley simulate`: plays devices against any Bramley server, over HTTPS and with pushes where the stand-in is
 * used.
 */
export function simulateCommand(): Command {
  return new Command('simulate')
    .description('Enroll simulated devices through an enrollment link, and play them until Ctrl-C.')
    .requiredOption('--link <token or code>', 'the enrollment link: its token, its typed code, or its whole address')
    .option('--url <url>', 'the server; https://localhost:8443 unless the link says otherwise', parseServerUrl)
    .option('--count <number>', 'how many devices, of each platform without a number of its own', parseCount, 1)
    .addOption(
      new Option('--platform <platforms>', `what they are: ${DEVICE_KINDS.join(', ')}; several as in iphone:3,mac:2`)
        .argParser(parsePlatforms).default(parsePlatforms('iphone'), 'iphone'),
    )
    .option('--supervised', 'they are supervised; Macs and Shared iPads always are')
    .option('--behaviour <behaviour>', `how they behave: ${BEHAVIOUR_FORMS.join(', ')}`, parseBehaviourOption)
    .option('--ca-file <file>', `a CA certificate (PEM) to trust besides the public ones; ${DEFAULT_CA} when it exists`)
    .addOption(
      new Option('--apns <host:port>', "the stand-in for Apple's push service")
        .argParser(parseAddress).default(parseAddress(DEFAULT_APNS), DEFAULT_APNS),
    )
    .option('--apns-ca <file>', `its CA certificate (PEM); ${DEFAULT_APNS_CA} when it exists`)
    .addOption(
      new Option('--for <duration>', 'end after this time, such as 30s').argParser(parseDuration)
        .conflicts(['untilCommands', 'timeout']),
    )
    .option('--until-commands <number>', 'end when every device has answered so many commands', parseCount)
    .option('--timeout <duration>', 'with --until-commands: give up after this time (exit code 7)', parseDuration)
    .action(async (options: SimulateOptions, command: Command) => {
      if (options.timeout !== undefined && options.untilCommands === undefined) {
        command.error('error: --timeout needs --until-commands')
      }
      const voice = { say: lineTo(process.stdout), warn: lineTo(process.stderr) }
      process.exitCode = await runSimulation(planSimulation(options), voice, interruption)
    })
}

function lineTo(stream: NodeJS.WritableStream): (line: string) => void {
  return (line) => void stream.write(`${line}\n`)
}

function interruption(): Promise<void> {
  return new Promise((resolve) => {
    process.once('SIGINT', () => resolve())
    process.once('SIGTERM', () => resolve())
  })
}
