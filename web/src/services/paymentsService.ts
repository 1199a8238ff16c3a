import createClient from "openapi-fetch";

import {
  ConnectionError,
  errorOf,
  PaymentsError,
  ProblemError,
  UnexpectedAnswerError,
} from "./errors";
import { IMPATIENT, PATIENT, type Patience, retrying } from "./retrying";
import type { components, paths } from "./schema";

type Schemas = components["schemas"];

export type Config = Schemas["ConfigView"];
export type Plan = Schemas["PlanView"];
export type Price = Schemas["PlanPrice"];
export type Customer = Schemas["CustomerView"];
export type Subscription = Schemas["SubscriptionView"];
export type SubscriptionBegun = Schemas["SubscriptionBegun"];
export type Preview = Schemas["PreviewView"];
export type PlanChange = Schemas["ChangeView"];
export type Invoice = Schemas["InvoiceView"];
export type InvoicePage = Schemas["InvoiceList"];
export type CheckoutStarted = Schemas["CheckoutStarted"];
export type SyncedCheckout = Schemas["SyncedCheckout"];
export type PortalOpened = Schemas["PortalOpened"];

export interface PaymentsServiceOptions {
  /** Where the API is; the page's own origin if not given. */
  baseUrl?: string;
  /** The bearer token of the user, where no gateway adds it. Asked for with every request. */
  token?: () => string | null | Promise<string | null>;
  fetch?: (request: Request) => Promise<Response>;
  /** Waits so many milliseconds before another attempt. */
  pause?: (milliseconds: number) => Promise<void>;
}

export type PaymentsService = ReturnType<typeof createPaymentsService>;

/**
 * The payments API. Amounts are in minor currency units, moments in ISO 8601.
 *
 * Every method rejects with a PaymentsError. What changes something carries an idempotency key:
 * the same key for the same request until its outcome is known, so that neither a retry here nor
 * one by the user does it twice.
 */
export function createPaymentsService(options: PaymentsServiceOptions = {}) {
  const client = connect(options, PATIENT);
  const glance = connect(options, IMPATIENT);
  const once = keyring();

  return {
    /** What a page needs to sell. */
    getConfig: (): Promise<Config> => answer(client.GET("/api/payments/config")),

    /** The current subscription, else the one that ended last, else one with status none. */
    getSubscription: (): Promise<Subscription> => answer(client.GET("/api/payments/subscription")),

    /** The same, asked for once and not for long: for who looks again, until `signal` says stop. */
    lookAtSubscription: (signal?: AbortSignal): Promise<Subscription> =>
      answer(glance.GET("/api/payments/subscription", signal === undefined ? {} : { signal })),

    /** Make sure that the user is a customer. */
    createCustomer: (): Promise<Customer> =>
      once("customer", (headers) => answer(client.POST("/api/payments/customers", { headers }))),

    /** Begin a subscription, to be confirmed with Elements. */
    createSubscription: (priceId: string): Promise<SubscriptionBegun> =>
      once(`subscribe ${priceId}`, (headers) =>
        answer(client.POST("/api/payments/subscriptions", { headers, body: { priceId } })),
      ),

    /** Buy on Stripe's page: send the user to the session's address. */
    startCheckout: (
      priceId: string,
      successUrl: string,
      cancelUrl: string,
    ): Promise<CheckoutStarted> =>
      once(`checkout ${priceId} ${successUrl} ${cancelUrl}`, (headers) =>
        answer(
          client.POST("/api/payments/create-checkout-session", {
            headers,
            body: { priceId, successUrl, cancelUrl },
          }),
        ),
      ),

    /** Take over a Checkout without waiting for its webhook. */
    syncCheckout: (sessionId: string): Promise<SyncedCheckout> =>
      once(`sync ${sessionId}`, (headers) =>
        answer(
          client.POST("/api/payments/checkout-sessions/{session_id}/sync", {
            headers,
            params: { path: { session_id: sessionId } },
          }),
        ),
      ),

    /** Manage cards and invoices on Stripe's page: send the user to the session's address. */
    openPortal: (returnUrl: string): Promise<PortalOpened> =>
      once(`portal ${returnUrl}`, (headers) =>
        answer(
          client.POST("/api/payments/create-portal-session", {
            headers,
            body: { returnUrl },
          }),
        ),
      ),

    /** What a change of plan would come to now. */
    previewPlanChange: (subscriptionId: string, priceId: string): Promise<Preview> =>
      once(`preview ${subscriptionId} ${priceId}`, (headers) =>
        answer(
          client.POST("/api/payments/subscriptions/{subscription_id}/preview", {
            headers,
            params: { path: { subscription_id: subscriptionId } },
            body: { priceId },
          }),
        ),
      ),

    /** Change the plan, at what the preview of this date has shown. */
    changePlan: (
      subscriptionId: string,
      priceId: string,
      prorationDate: string,
    ): Promise<PlanChange> =>
      once(`change ${subscriptionId} ${priceId} ${prorationDate}`, (headers) =>
        answer(
          client.PATCH("/api/payments/subscriptions/{subscription_id}", {
            headers,
            params: { path: { subscription_id: subscriptionId } },
            body: { priceId, prorationDate },
          }),
        ),
      ),

    /** Cancel: with the current period, or at once. */
    cancelSubscription: (
      subscriptionId: string,
      { immediately = false }: { immediately?: boolean } = {},
    ): Promise<Subscription> =>
      once(`cancel ${subscriptionId} ${immediately}`, (headers) =>
        answer(
          client.DELETE("/api/payments/subscriptions/{subscription_id}", {
            headers,
            params: {
              path: { subscription_id: subscriptionId },
              query: { immediately },
            },
          }),
        ),
      ),

    /** Take a scheduled cancellation back. */
    resumeSubscription: (subscriptionId: string): Promise<Subscription> =>
      once(`resume ${subscriptionId}`, (headers) =>
        answer(
          client.POST("/api/payments/subscriptions/{subscription_id}/resume", {
            headers,
            params: { path: { subscription_id: subscriptionId } },
          }),
        ),
      ),

    /** What was charged, the newest first. */
    listInvoices: ({
      limit,
      cursor,
    }: { limit?: number; cursor?: string } = {}): Promise<InvoicePage> =>
      answer(
        client.GET("/api/payments/invoices", {
          params: {
            query: {
              ...(limit === undefined ? {} : { limit }),
              ...(cursor === undefined ? {} : { cursor }),
            },
          },
        }),
      ),
  };
}

function connect(options: PaymentsServiceOptions, patience: Patience) {
  const client = createClient<paths>({
    baseUrl: options.baseUrl ?? globalThis.location.origin,
    fetch: retrying(
      // Looked up at each call, so that whatever replaces it later is used too.
      options.fetch ?? ((request) => globalThis.fetch(request)),
      patience,
      options.pause,
    ),
  });
  client.use({
    async onRequest({ request }) {
      const token = await options.token?.();
      if (token != null) {
        request.headers.set("Authorization", `Bearer ${token}`);
      }
      return request;
    },
  });
  return client;
}

/** Refusals that came before the request was looked at: they say nothing of an earlier attempt. */
const UNHEARD = new Set([401, 408, 429]);

/** Keys by request: kept while nobody knows what became of the request, then forgotten. */
function keyring() {
  const keys = new Map<string, string>();
  return async <T>(
    request: string,
    carryOut: (headers: { "Idempotency-Key": string }) => Promise<T>,
  ): Promise<T> => {
    const key = keys.get(request) ?? crypto.randomUUID();
    keys.set(request, key);
    try {
      const answer = await carryOut({ "Idempotency-Key": key });
      keys.delete(request);
      return answer;
    } catch (error) {
      if (error instanceof ProblemError && !error.undecided && !UNHEARD.has(error.status)) {
        keys.delete(request);
      }
      throw error;
    }
  };
}

/** The body of a success, or the error that the answer stands for. */
async function answer<T>(
  asked: Promise<{ data?: T; error?: unknown; response: Response }>,
): Promise<T> {
  let told: { data?: T; error?: unknown; response: Response };
  try {
    told = await asked;
  } catch (error) {
    if (error instanceof PaymentsError) {
      throw error;
    }
    // openapi-fetch reads the body itself: one that is not JSON, or is cut off, ends here.
    throw error instanceof SyntaxError
      ? new UnexpectedAnswerError(200)
      : new ConnectionError("the answer was cut off", { cause: error });
  }
  if (told.data === undefined) {
    throw errorOf(told.response, told.error);
  }
  return told.data;
}
