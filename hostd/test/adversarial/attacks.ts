/** What an attacker's process can be told to do. */
import { knock } from './attacks/knock.ts';


export const ATTACKS = { knock };
