/** Options of the commands that share a queue. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { defaultQueue } from '../queue/tasks.js';
import { redisUrl } from './options.js';

export interface QueueFlags {
  readonly redis: string;
  readonly queue: string;
}

export function withQueueOptions(command: Command): Command {
  return command
    .addOption(
      new Option('--redis <url>', 'Redis that holds the queue: redis://host:6379')
        .argParser(redisUrl)
        .makeOptionMandatory()
        .env('MKD_REDIS'),
    )
    .addOption(
      new Option('--queue <name>', 'name of the queue')
        .argParser(queueName)
        .default(defaultQueue)
        .env('MKD_QUEUE'),
    );
}

function queueName(text: string): string {
  if (/^[^:\s]+$/.test(text)) return text;
  throw new InvalidArgumentError('Must be a name without colons and spaces.');
}
