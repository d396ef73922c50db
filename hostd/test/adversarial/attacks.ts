/** What an attacker's process can be told to do. */
import { captureHost, overheard, plunder, whenCutOff } from './attacks/captured-host.ts';
import { knock } from './attacks/knock.ts';

export const ATTACKS = { knock, captureHost, plunder, overheard, whenCutOff };
