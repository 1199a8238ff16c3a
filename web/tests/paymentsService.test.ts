import { readFileSync } from "node:fs";
import { join } from "node:path";

import { HttpResponse } from "msw";
import { afterEach, describe, expect, test, vi } from "vitest";

import {
  CardDeclinedError,
  ConnectionError,
  createPaymentsService,
  type PaymentsService,
  ProblemError,
  SessionExpiredError,
  UnexpectedAnswerError,
} from "../src/index";
import { ACTIVE, CHANGED, INVOICES, PREVIEW, problem, SUBSCRIPTION_ID } from "./fixtures";
import { inTurn, refuse, unreachable, wire } from "./house";

const SUBSCRIPTION = "/api/payments/subscription";
const SUBSCRIPTIONS = "/api/payments/subscriptions";
const ONE = `${SUBSCRIPTIONS}/${SUBSCRIPTION_ID}`;
const BEGUN = {
  subscriptionId: SUBSCRIPTION_ID,
  status: "incomplete",
  clientSecret: "seti_1_secret_2",
  intentType: "setup",
};
const CUSTOMER = { userId: SUBSCRIPTION_ID, customerId: "cus_1", email: null, name: null };

const pauses: number[] = [];
const service = (): PaymentsService =>
  createPaymentsService({
    pause: (milliseconds) => {
      pauses.push(milliseconds);
      return Promise.resolve();
    },
  });

const CHANGES: Record<string, [string, (service: PaymentsService) => Promise<unknown>, object]> = {
  createCustomer: ["POST /api/payments/customers", (s) => s.createCustomer(), CUSTOMER],
  createSubscription: [`POST ${SUBSCRIPTIONS}`, (s) => s.createSubscription("price_1"), BEGUN],
  startCheckout: [
    "POST /api/payments/create-checkout-session",
    (s) => s.startCheckout("price_1", "https://a.example/", "https://a.example/"),
    { sessionId: "cs_1", sessionUrl: "https://checkout.example" },
  ],
  syncCheckout: [
    "POST /api/payments/checkout-sessions/cs_1/sync",
    (s) => s.syncCheckout("cs_1"),
    { status: "complete", settled: true, subscription: ACTIVE },
  ],
  openPortal: [
    "POST /api/payments/create-portal-session",
    (s) => s.openPortal("https://a.example/"),
    { sessionUrl: "https://portal.example" },
  ],
  previewPlanChange: [
    `POST ${ONE}/preview`,
    (s) => s.previewPlanChange(SUBSCRIPTION_ID, "price_2"),
    PREVIEW,
  ],
  changePlan: [
    `PATCH ${ONE}`,
    (s) => s.changePlan(SUBSCRIPTION_ID, "price_2", PREVIEW.prorationDate),
    CHANGED,
  ],
  cancelSubscription: [`DELETE ${ONE}`, (s) => s.cancelSubscription(SUBSCRIPTION_ID), ACTIVE],
  resumeSubscription: [`POST ${ONE}/resume`, (s) => s.resumeSubscription(SUBSCRIPTION_ID), ACTIVE],
};

describe.each(Object.entries(CHANGES))("%s", (_name, [route, call, answer]) => {
  test("answers what the server says", async () => {
    const asked = wire({ [route]: answer });
    expect(await call(service())).toEqual(answer);
    expect(`${asked[0]?.method} ${asked[0]?.path.split("?")[0]}`).toBe(route);
  });

  test("is sent again under its key where the network fails, and under a new one later", async () => {
    const asked = wire({ [route]: inTurn(unreachable, answer) });
    const payments = service();
    await call(payments);
    await call(payments);
    const [first, again, later] = asked.map(({ key }) => key);
    expect(first).toMatch(/^[!-~]{1,255}$/);
    expect(again).toBe(first);
    expect(later).not.toBe(first);
  });

  test("keeps its key for the user's own attempt while its outcome is unknown", async () => {
    const asked = wire({ [route]: unreachable });
    const payments = service();
    await expect(call(payments)).rejects.toThrow(ConnectionError);
    await expect(call(payments)).rejects.toThrow(ConnectionError);
    expect(asked).toHaveLength(8);
    expect(new Set(asked.map(({ key }) => key)).size).toBe(1);
  });

  test("takes a new key after a refusal, which is final", async () => {
    const asked = wire({ [route]: refuse(problem(409, "already-subscribed")) });
    const payments = service();
    await expect(call(payments)).rejects.toThrow(ProblemError);
    await expect(call(payments)).rejects.toThrow(ProblemError);
    expect(asked).toHaveLength(2);
    expect(asked[0]?.key).not.toBe(asked[1]?.key);
  });
});

test("what is read carries no key, and is read again where that may help", async () => {
  const asked = wire({
    [`GET ${SUBSCRIPTION}`]: inTurn(unreachable, refuse(problem(503, "try-again")), ACTIVE),
  });
  expect(await service().getSubscription()).toEqual(ACTIVE);
  expect(asked.map(({ key }) => key)).toEqual([null, null, null]);
});

test("invoices are asked for by cursor", async () => {
  const asked = wire();
  expect(await service().listInvoices({ limit: 5, cursor: "in_4" })).toEqual(INVOICES);
  expect(asked[0]?.path).toBe("/api/payments/invoices?limit=5&cursor=in_4");
});

test("cancellation is with the period unless asked for at once", async () => {
  const asked = wire({ [`DELETE ${ONE}`]: ACTIVE });
  await service().cancelSubscription(SUBSCRIPTION_ID);
  await service().cancelSubscription(SUBSCRIPTION_ID, { immediately: true });
  expect(
    asked.map(({ path }) => new URL(path, "http://x").searchParams.get("immediately")),
  ).toEqual(["false", "true"]);
});

test("the token of the moment goes along", async () => {
  const tokens = ["one", "two"];
  const seen: (string | null)[] = [];
  const payments = createPaymentsService({
    baseUrl: "https://api.example",
    token: () => tokens.shift() ?? null,
    fetch: (request) => {
      seen.push(request.headers.get("Authorization"));
      return Promise.resolve(Response.json(ACTIVE));
    },
  });
  await payments.getSubscription();
  await payments.getSubscription();
  await payments.getSubscription();
  expect(seen).toEqual(["Bearer one", "Bearer two", null]);
});

describe("an error", () => {
  const refusal = async (answer: Response): Promise<unknown> => {
    wire({ [`POST ${SUBSCRIPTIONS}`]: answer });
    return service()
      .createSubscription("price_1")
      .then(
        () => null,
        (error: unknown) => error,
      );
  };

  test("is a problem with its name, words and trace", async () => {
    const error = await refusal(refuse(problem(500, "internal-error", { traceId: "abc" })));
    expect(error).toBeInstanceOf(ProblemError);
    expect(error).toMatchObject({
      problem: "internal-error",
      status: 500,
      message: "detail of internal-error",
      traceId: "abc",
      undecided: true,
    });
  });

  test("names the fields that do not fit", async () => {
    const errors = [{ field: "priceId", message: "too long" }];
    const error = await refusal(refuse(problem(400, "bad-request", { errors })));
    expect(error).toMatchObject({ fields: errors, undecided: false });
  });

  test("of a session that is over is told apart", async () => {
    const error = await refusal(refuse(problem(401, "unauthenticated")));
    expect(error).toBeInstanceOf(SessionExpiredError);
  });

  test("of a card says why the bank refused", async () => {
    const error = await refusal(
      refuse(problem(402, "card-declined", { code: "card_declined", declineCode: "lost_card" })),
    );
    expect(error).toBeInstanceOf(CardDeclinedError);
    expect(error).toMatchObject({ code: "card_declined", declineCode: "lost_card" });
  });

  test("of a server that is not ours is not taken for a problem", async () => {
    const error = await refusal(HttpResponse.html("<h1>Bad Gateway</h1>", { status: 400 }));
    expect(error).toBeInstanceOf(UnexpectedAnswerError);
  });

  test("of a page in place of an answer is not taken for a success", async () => {
    const error = await refusal(HttpResponse.html("<h1>Hello</h1>"));
    expect(error).toBeInstanceOf(UnexpectedAnswerError);
  });
});

describe("a server that asks for patience", () => {
  test.each([429, 503])("is asked again after the seconds it names: %i", async (status) => {
    pauses.length = 0;
    wire({
      [`GET ${SUBSCRIPTION}`]: inTurn(
        refuse(problem(status, "try-again"), { "Retry-After": "2" }),
        ACTIVE,
      ),
    });
    await service().getSubscription();
    expect(pauses).toEqual([2000]);
  });

  test("for too long is not waited for; the user is told", async () => {
    pauses.length = 0;
    wire({ [`GET ${SUBSCRIPTION}`]: refuse(problem(503, "try-again"), { "Retry-After": "60" }) });
    await expect(service().getSubscription()).rejects.toMatchObject({ retryAfter: 60 });
    expect(pauses).toEqual([]);
  });

  test("since the same request is still being worked on, is asked again", async () => {
    const asked = wire({
      [`POST ${SUBSCRIPTIONS}`]: inTurn(refuse(problem(409, "request-under-way")), BEGUN),
    });
    expect(await service().createSubscription("price_1")).toEqual(BEGUN);
    expect(asked[0]?.key).toBe(asked[1]?.key);
  });

  test("until a date is asked again after a pause of our own", async () => {
    pauses.length = 0;
    const date = "Wed, 15 Jul 2026 12:00:00 GMT";
    wire({
      [`GET ${SUBSCRIPTION}`]: inTurn(
        refuse(problem(503, "try-again"), { "Retry-After": date }),
        ACTIVE,
      ),
    });
    expect(await service().getSubscription()).toEqual(ACTIVE);
    expect(pauses[0]).toBeGreaterThan(0);
  });

  test("without end is given up", async () => {
    const asked = wire({ [`GET ${SUBSCRIPTION}`]: refuse(problem(503, "try-again")) });
    await expect(service().getSubscription()).rejects.toThrow(ProblemError);
    expect(asked).toHaveLength(4);
  });
});

test("a fault of the server's own is not asked for again", async () => {
  const asked = wire({ [`GET ${SUBSCRIPTION}`]: refuse(problem(500, "internal-error")) });
  await expect(service().getSubscription()).rejects.toThrow(ProblemError);
  expect(asked).toHaveLength(1);
});

test("without a network nothing is waited for", async () => {
  vi.spyOn(navigator, "onLine", "get").mockReturnValue(false);
  const asked = wire({ [`GET ${SUBSCRIPTION}`]: unreachable });
  await expect(service().getSubscription()).rejects.toThrow(ConnectionError);
  expect(asked).toHaveLength(1);
});

test("every operation for users in the contract has a method here", () => {
  const contract = JSON.parse(
    readFileSync(join(import.meta.dirname, "../../contracts/openapi.json"), "utf8"),
  ) as { paths: Record<string, Record<string, unknown>> };
  const operations = Object.entries(contract.paths)
    .filter(([path]) => path.startsWith("/api/payments/") && !path.endsWith("/webhook"))
    .flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
    );
  // A path of the contract fits whatever stands for its parameters.
  const fits = (operation: string) => new RegExp(`^${operation.replaceAll(/\{\w+\}/g, "[^/]+")}$`);
  const asked = [...Object.values(CHANGES).map(([route]) => route), ...READ];
  expect(operations.filter((one) => !asked.some((route) => fits(one).test(route)))).toEqual([]);
  expect(asked.filter((route) => !operations.some((one) => fits(one).test(route)))).toEqual([]);
});

/** What is read; the tests above ask for it by name. */
const READ = ["GET /api/payments/config", `GET ${SUBSCRIPTION}`, "GET /api/payments/invoices"];

test.each([
  [429, "too-many-requests"],
  [401, "unauthenticated"],
  [409, "request-under-way"],
])(
  "an answer of %i %s says nothing of an attempt before it: the key stays",
  async (status, name) => {
    const asked = wire({
      [`POST ${SUBSCRIPTIONS}`]: inTurn(
        refuse(problem(503, "outcome-unknown"), { "Retry-After": "60" }),
        refuse(problem(status, name), { "Retry-After": "60" }),
        BEGUN,
      ),
    });
    const payments = service();
    await expect(payments.createSubscription("price_1")).rejects.toThrow(ProblemError);
    await expect(payments.createSubscription("price_1")).rejects.toThrow(ProblemError);
    await payments.createSubscription("price_1");
    expect(new Set(asked.map(({ key }) => key)).size).toBe(1);
  },
);

describe("patience", () => {
  afterEach(() => void vi.useRealTimers());

  /** A network on which nothing comes back until the request is given up. */
  const deaf = () => {
    const seen = { requests: 0, failed: false };
    const payments = createPaymentsService({
      fetch: (request) => {
        seen.requests += 1;
        return new Promise((_, reject) =>
          request.signal.addEventListener("abort", () => reject(new Error("given up"))),
        );
      },
    });
    return { seen, payments };
  };

  test("ends after half a minute in all, however often it is tried", async () => {
    vi.useFakeTimers();
    const { seen, payments } = deaf();
    payments.createSubscription("price_1").catch(() => (seen.failed = true));
    await vi.advanceTimersByTimeAsync(29_000);
    expect(seen.failed).toBe(false);
    await vi.advanceTimersByTimeAsync(2_000);
    expect(seen).toEqual({ requests: 1, failed: true });
  });

  test("is not spent on a pause after which there would be none left", async () => {
    vi.useFakeTimers();
    const answer = () => refuse(problem(503, "try-again"), { "Retry-After": "5" });
    const payments = createPaymentsService({
      fetch: () => new Promise((resolve) => setTimeout(() => resolve(answer()), 27_000)),
    });
    let told: unknown;
    payments.createSubscription("price_1").catch((error: unknown) => (told = error));
    await vi.advanceTimersByTimeAsync(28_000);
    expect(told).toMatchObject({ problem: "try-again", retryAfter: 5 });
  });

  test("is short and not tried again where somebody looks again anyway", async () => {
    vi.useFakeTimers();
    const { seen, payments } = deaf();
    payments.lookAtSubscription().catch(() => (seen.failed = true));
    await vi.advanceTimersByTimeAsync(5_100);
    expect(seen).toEqual({ requests: 1, failed: true });
  });

  test("ends with the signal of who looks", async () => {
    const { seen, payments } = deaf();
    const stop = new AbortController();
    const look = payments.lookAtSubscription(stop.signal);
    await vi.waitFor(() => expect(seen.requests).toBe(1));
    stop.abort();
    await expect(look).rejects.toThrow(ConnectionError);
  });
});
