import { screen, within } from "@testing-library/react";
import { expect, test } from "vitest";

import { InvoiceHistory, SubscriptionManagement } from "../src/index";
import * as given from "./fixtures";
import {
  button,
  expectAccessible,
  inTurn,
  refuse,
  show,
  silence,
  unreachable,
  wire,
} from "./house";

const INVOICES = "GET /api/payments/invoices";

const rows = () => screen.getAllByRole("row").slice(1);

test("shows what was charged, with both documents of each", async () => {
  const asked = wire();
  show(<InvoiceHistory pageSize={4} />);
  await screen.findByRole("table", { name: "Invoices" });
  expect(rows()).toHaveLength(4);
  const [open, paid] = rows() as [HTMLElement, HTMLElement];
  expect(open).toHaveTextContent(/Jul 5, 2026.*\$10\.00.*A1B2C3D4-0007.*Open/);
  expect(within(open).getByRole("link", { name: "Pay invoice A1B2C3D4-0007" })).toHaveAttribute(
    "href",
    "https://invoice.example/i/7",
  );
  expect(paid).toHaveTextContent("Paid");
  const pdf = within(paid).getByRole("link", { name: "PDF invoice A1B2C3D4-0006" });
  expect(pdf).toHaveAttribute("href", "https://invoice.example/i/6/pdf");
  expect(pdf).toHaveAttribute("rel", "noreferrer");
  expect(asked[0]?.path).toBe("/api/payments/invoices?limit=4");
  await expectAccessible();
});

test("without documents there are no links", async () => {
  const bare = given.invoice(1, {
    invoicePdf: null,
    hostedInvoiceUrl: null,
    number: null,
    status: "draft",
  });
  wire({ [INVOICES]: { invoices: [bare], nextCursor: null } });
  show(<InvoiceHistory />);
  expect(await screen.findByText("Draft")).toBeInTheDocument();
  expect(screen.queryByRole("link")).toBeNull();
});

test("while they are loaded, says so", async () => {
  wire({ [INVOICES]: silence });
  show(<InvoiceHistory />);
  expect(await screen.findByText("Loading your invoices")).toBeInTheDocument();
  await expectAccessible();
});

test("where there are none, says so", async () => {
  wire({ [INVOICES]: given.NO_INVOICES });
  show(<InvoiceHistory />);
  expect(await screen.findByText(/No invoices yet/)).toBeInTheDocument();
  expect(screen.queryByRole("table")).toBeNull();
  await expectAccessible();
});

test("where they cannot be loaded, says why and tries again when asked to", async () => {
  wire({ [INVOICES]: inTurn(refuse(given.problem(500, "internal-error")), given.INVOICES) });
  const { user } = show(<InvoiceHistory />);
  expect(await screen.findByRole("alert")).toHaveTextContent("Something went wrong");
  await expectAccessible();
  await user.click(await button("Try again"));
  await screen.findByRole("table");
  expect(screen.queryByRole("alert")).toBeNull();
});

test("older ones come below, until there are no more, and are announced", async () => {
  const asked = wire({
    [INVOICES]: ({ path }) => (path.includes("cursor=in_4") ? given.OLDER : given.INVOICES),
  });
  const { user } = show(<InvoiceHistory />);
  await user.click(await button("Show older invoices"));
  expect(await screen.findByText("A1B2C3D4-0002")).toBeInTheDocument();
  expect(rows()).toHaveLength(6);
  expect(screen.getByText("6 invoices shown")).toHaveAttribute("role", "status");
  expect(screen.queryByRole("button")).toBeNull();
  expect(asked.filter(({ path }) => path.includes("cursor"))).toHaveLength(1);
});

test("where older ones cannot be loaded, those that are there stay", async () => {
  let fail = true;
  wire({
    [INVOICES]: ({ path }) => {
      if (!path.includes("cursor")) {
        return given.INVOICES;
      }
      return fail ? unreachable() : given.OLDER;
    },
  });
  const { user } = show(<InvoiceHistory />);
  await user.click(await button("Show older invoices"));
  expect(await screen.findByRole("alert")).toHaveTextContent("We can’t reach the server");
  expect(rows()).toHaveLength(4);
  fail = false;
  await user.click(await button("Try again"));
  expect(await screen.findByText("A1B2C3D4-0002")).toBeInTheDocument();
});

test("what a change has charged is shown without being asked for", async () => {
  const change = `/api/payments/subscriptions/${given.SUBSCRIPTION_ID}`;
  wire({
    "GET /api/payments/subscription": given.ENDING,
    [`POST ${change}/resume`]: given.ACTIVE,
    [INVOICES]: inTurn(given.NO_INVOICES, given.INVOICES),
  });
  const { user } = show(
    <>
      <SubscriptionManagement />
      <InvoiceHistory />
    </>,
  );
  await screen.findByText(/No invoices yet/);
  await user.click(await button("Resume subscription"));
  expect(await screen.findByText("A1B2C3D4-0007")).toBeInTheDocument();
});
