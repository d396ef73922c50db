/**
 * Keeps V8's young generation as small as it begins (1 MiB a half, of 16): a daemon makes little garbage, but connections
 * and streams of the native QUIC addon hold far more outside of the heap than the collector sees, until it comes by. With
 * the default, a flood of refused handshakes leaves a hundred MiB waiting for it. To be imported before everything else.
 */
import { setFlagsFromString } from 'node:v8';

setFlagsFromString('--semi-space-growth-factor=1');
