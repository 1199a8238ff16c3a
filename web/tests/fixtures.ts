import type {
  Config,
  Invoice,
  InvoicePage,
  PlanChange,
  Preview,
  Price,
  Subscription,
} from "../src/index";

/** The moment at which everything in the fixtures is seen. */
export const NOW = "2026-07-15T12:00:00Z";

const price = (lookupKey: string, interval: string, amount: number): Price => ({
  lookupKey,
  priceId: `price_${lookupKey}`,
  interval,
  amount,
  currency: "usd",
});

export const CONFIG: Config = {
  publishableKey: "pk_test_fixture",
  currency: "usd",
  trialPeriodDays: 180,
  plans: [
    {
      plan: "general",
      prices: [price("general_monthly", "month", 1000), price("general_annual", "year", 10000)],
    },
    {
      plan: "event_organizer",
      prices: [
        price("event_organizer_monthly", "month", 1500),
        price("event_organizer_annual", "year", 15000),
      ],
    },
  ],
};

export const SUBSCRIPTION_ID = "5d9d7a0e-7f5e-5a39-9a0c-6d4e5f3b2a10";

export const NONE: Subscription = {
  id: null,
  status: "none",
  hasAccess: false,
  accessUntil: null,
  plan: null,
  interval: null,
  priceId: null,
  startDate: null,
  endDate: null,
  trialEndDate: null,
  trialDaysLeft: 0,
  trialAvailable: true,
  currentPeriodEnd: null,
  cancelAt: null,
  nextCharge: null,
};

export const ACTIVE: Subscription = {
  ...NONE,
  id: SUBSCRIPTION_ID,
  status: "active",
  hasAccess: true,
  plan: "general",
  interval: "month",
  priceId: "price_general_monthly",
  startDate: "2026-01-05T12:00:00Z",
  trialAvailable: false,
  currentPeriodEnd: "2026-08-05T12:00:00Z",
  nextCharge: { at: "2026-08-05T12:00:00Z", amount: 1000, currency: "usd" },
};

export const ORGANIZER: Subscription = {
  ...ACTIVE,
  plan: "event_organizer",
  priceId: "price_event_organizer_monthly",
  nextCharge: { at: "2026-08-05T12:00:00Z", amount: 1500, currency: "usd" },
};

export const TRIALING: Subscription = {
  ...ACTIVE,
  status: "trialing",
  startDate: "2026-05-30T12:00:00Z",
  trialEndDate: "2026-11-26T12:00:00Z",
  trialDaysLeft: 134,
  currentPeriodEnd: "2026-11-26T12:00:00Z",
  nextCharge: { at: "2026-11-26T12:00:00Z", amount: 1000, currency: "usd" },
};

export const ENDING: Subscription = {
  ...ACTIVE,
  accessUntil: "2026-08-05T12:00:00Z",
  cancelAt: "2026-08-05T12:00:00Z",
  nextCharge: null,
};

export const INCOMPLETE: Subscription = {
  ...ACTIVE,
  status: "incomplete",
  hasAccess: false,
  nextCharge: null,
};

export const PAST_DUE: Subscription = {
  ...ACTIVE,
  status: "past_due",
  accessUntil: "2026-07-20T12:00:00Z",
  nextCharge: null,
};

export const ENDED: Subscription = {
  ...ACTIVE,
  status: "canceled",
  hasAccess: false,
  accessUntil: "2026-07-01T12:00:00Z",
  endDate: "2026-07-01T12:00:00Z",
  nextCharge: null,
};

/** In a state without access, and nothing to be charged. */
export const without = (status: string): Subscription => ({
  ...ACTIVE,
  status,
  hasAccess: false,
  nextCharge: null,
});

export const PREVIEW: Preview = {
  prorationDate: "2026-07-15T12:00:00Z",
  currency: "usd",
  amountDueNow: 336,
  lines: [
    { description: "Unused time on General after July 15, 2026", amount: -673 },
    { description: "Remaining time on Event Organizer after July 15, 2026", amount: 1009 },
  ],
};

export const CHANGED: PlanChange = {
  subscription: ORGANIZER,
  pending: false,
  clientSecret: null,
  hostedInvoiceUrl: null,
};

export const PENDING: PlanChange = {
  subscription: ACTIVE,
  pending: true,
  clientSecret: "pi_1_secret_2",
  hostedInvoiceUrl: "https://invoice.example/i/1",
};

export const invoice = (number: number, more: Partial<Invoice> = {}): Invoice => ({
  id: `in_${number}`,
  number: `A1B2C3D4-${String(number).padStart(4, "0")}`,
  status: "paid",
  createdAt: `2026-0${Math.max(1, number)}-05T12:00:00Z`,
  currency: "usd",
  total: 1000,
  amountPaid: 1000,
  amountDue: 0,
  periodStart: null,
  periodEnd: null,
  hostedInvoiceUrl: `https://invoice.example/i/${number}`,
  invoicePdf: `https://invoice.example/i/${number}/pdf`,
  ...more,
});

export const INVOICES: InvoicePage = {
  invoices: [
    invoice(7, { status: "open", amountPaid: 0, amountDue: 1000 }),
    invoice(6),
    invoice(5),
    invoice(4, { total: 1500, amountPaid: 1500 }),
  ],
  nextCursor: "in_4",
};

export const OLDER: InvoicePage = { invoices: [invoice(3), invoice(2)], nextCursor: null };

export const NO_INVOICES: InvoicePage = { invoices: [], nextCursor: null };

/** A problem document, as the service writes it. */
export const problem = (status: number, name: string, more: object = {}) => ({
  type: `urn:payments:problem:${name}`,
  title: name,
  status,
  detail: `detail of ${name}`,
  ...more,
});
