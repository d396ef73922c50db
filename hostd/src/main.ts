#!/usr/bin/env node
/** Sets what memory the daemon takes, before anything else is loaded. */
import './malloc-arenas.ts';
import './young-generation.ts';

await import('./daemon.ts');
