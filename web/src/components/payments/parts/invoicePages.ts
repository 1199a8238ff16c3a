import type { InvoicePage } from "../../../services/paymentsService";

/** Names a page of invoices by the cursor that leads to it; null after the last one. */
export function invoicePageKey(
  _index: number,
  before: InvoicePage | null,
): [string, string | null] | null {
  if (before === null) {
    return ["invoices", null];
  }
  return before.nextCursor === null ? null : ["invoices", before.nextCursor];
}
