// Builds dist/ by tsdown.config.ts. It calls tsdown from JavaScript, because tsdown's command warns of Node.js 20, on
// which dino8 is built and tested as well.
import { build } from 'tsdown';

await build({ logLevel: 'warn' });
