// stripe-sync-engine behind Node's own HTTP server: verify, upsert, answer.
// DATABASE_URL, STRIPE_WEBHOOK_SECRET and PORT say where and how.
import { createServer } from "node:http";
import { createRequire } from "node:module";

// Its build for import cannot find its own migrations.
const { StripeSync, runMigrations } = createRequire(import.meta.url)(
  "@supabase/stripe-sync-engine",
);

const { DATABASE_URL, STRIPE_WEBHOOK_SECRET, PORT } = process.env;

// It swallows what goes wrong and says so to its logger alone.
const logger = {
  info: () => {},
  warn: console.warn,
  error: (error) => {
    console.error(error);
    process.exit(1);
  },
};
await runMigrations({ databaseUrl: DATABASE_URL, schema: "stripe", logger });
const sync = new StripeSync({
  schema: "stripe",
  stripeSecretKey: "sk_test_benchmark",
  stripeWebhookSecret: STRIPE_WEBHOOK_SECRET,
  // Nothing is fetched from Stripe: what comes is what is written.
  autoExpandLists: false,
  backfillRelatedEntities: false,
  poolConfig: { connectionString: DATABASE_URL, max: 20, keepAlive: true },
});

const server = createServer((request, response) => {
  const chunks = [];
  request.on("data", (chunk) => chunks.push(chunk));
  request.on("end", async () => {
    let status = 200;
    if (request.method === "POST") {
      try {
        const signature = request.headers["stripe-signature"];
        await sync.processWebhook(Buffer.concat(chunks), signature);
      } catch (error) {
        console.error(error);
        status = 500;
      }
    }
    const body = '{"received":true}';
    response.writeHead(status, { "content-type": "application/json", "content-length": body.length });
    response.end(body);
  });
});
server.keepAliveTimeout = 60_000;
server.listen(Number(PORT), "127.0.0.1");
