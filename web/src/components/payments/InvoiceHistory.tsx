// The roles of the table are its elements' own: laid out as blocks, on a phone, they lose them in
// some browsers.
/* eslint-disable jsx-a11y/no-redundant-roles, jsx-a11y/no-interactive-element-to-noninteractive-role */
import { useId } from "react";
import useSWRInfinite from "swr/infinite";

import type { Invoice, InvoicePage } from "../../services/paymentsService";
import { Badge } from "./parts/Badge";
import { Button } from "./parts/Button";
import { usePayments } from "./parts/context";
import { explain } from "./parts/explain";
import { LoadFailure, useOnline } from "./parts/failures";
import { useFormat } from "./parts/format";
import { invoicePageKey } from "./parts/invoicePages";
import { Notice } from "./parts/Notice";
import { Skeleton } from "./parts/Skeleton";
import type { StatusText } from "./parts/status";
import theme from "./parts/theme.module.css";
import { Themed } from "./parts/Themed";
import css from "./InvoiceHistory.module.css";

export interface InvoiceHistoryProps {
  /** How many invoices are loaded at once, up to 100. */
  pageSize?: number;
}

/** What was charged, the newest first, with the documents. */
export function InvoiceHistory({ pageSize = 10 }: InvoiceHistoryProps) {
  const { service } = usePayments();
  const online = useOnline();
  const heading = useId();
  const { data, error, isLoading, isValidating, size, setSize, mutate } = useSWRInfinite<
    InvoicePage,
    unknown
  >(
    invoicePageKey,
    ([, cursor]: [string, string | null]) =>
      service.listInvoices({ limit: pageSize, ...(cursor === null ? {} : { cursor }) }),
    { revalidateOnFocus: false },
  );
  const pages = data ?? [];
  const invoices = pages.flatMap((page) => page.invoices);
  const more = pages.at(-1)?.nextCursor != null;
  const loadingMore = isValidating && pages.length > 0 && pages.length < size;
  const failed = error !== undefined && !isValidating;

  return (
    <Themed className={`${theme.card ?? ""} ${css.card ?? ""}`} aria-labelledby={heading}>
      <h2 id={heading} className={theme.heading}>
        Invoices
      </h2>
      {data === undefined && isLoading && (
        <Skeleton label="Loading your invoices" lines={["full", "full", "full"]} />
      )}
      {data === undefined && failed && <LoadFailure error={error} onRetry={() => void mutate()} />}
      {data !== undefined && invoices.length === 0 && (
        <p className={css.empty}>
          No invoices yet. They appear here as soon as something is charged.
        </p>
      )}
      {invoices.length > 0 && (
        <table className={css.table} role="table" aria-labelledby={heading}>
          <thead role="rowgroup">
            <tr role="row">
              {["Date", "Amount", "Number", "Status"].map((name) => (
                <th key={name} role="columnheader" scope="col">
                  {name}
                </th>
              ))}
              <th role="columnheader" scope="col">
                <span className={theme.visuallyHidden}>Documents</span>
              </th>
            </tr>
          </thead>
          <tbody role="rowgroup">
            {invoices.map((invoice) => (
              <Row key={invoice.id} invoice={invoice} />
            ))}
          </tbody>
        </table>
      )}
      {data !== undefined && failed && (
        <Notice
          tone="danger"
          title={explain(error).title}
          urgent
          actions={<Button onClick={() => void setSize(size)}>Try again</Button>}
        >
          {explain(error).advice}
        </Notice>
      )}
      {more && !failed && (
        <div>
          <Button
            busy={loadingMore}
            disabled={!online}
            onClick={() => void setSize(pages.length + 1)}
          >
            Show older invoices
          </Button>
        </div>
      )}
      <p className={theme.visuallyHidden} role="status">
        {pages.length > 1 ? `${invoices.length} invoices shown` : ""}
      </p>
    </Themed>
  );
}

function Row({ invoice }: { invoice: Invoice }) {
  const { money, shortDate } = useFormat();
  const name = invoice.number ?? shortDate(invoice.createdAt);
  return (
    <tr role="row">
      <td role="cell" className={css.date}>
        {shortDate(invoice.createdAt)}
      </td>
      <td role="cell" className={css.amount}>
        {money(invoice.total, invoice.currency)}
      </td>
      <td role="cell" className={css.numberCell}>
        <span className={css.number}>{invoice.number ?? "—"}</span>
      </td>
      <td role="cell" className={css.status}>
        <Badge {...statusOf(invoice.status)} />
      </td>
      <td role="cell" className={css.linksCell}>
        <span className={css.links}>
          {invoice.hostedInvoiceUrl !== null && (
            <Document
              href={invoice.hostedInvoiceUrl}
              text={invoice.status === "open" ? "Pay" : "View"}
              of={name}
            />
          )}
          {invoice.invoicePdf !== null && (
            <Document href={invoice.invoicePdf} text="PDF" of={name} />
          )}
        </span>
      </td>
    </tr>
  );
}

function Document({ href, text, of }: { href: string; text: string; of: string }) {
  return (
    <a className={css.link} href={href} target="_blank" rel="noreferrer">
      {text}
      <span className={theme.visuallyHidden}> invoice {of}</span>
    </a>
  );
}

const STATUSES: Record<string, StatusText> = {
  draft: { label: "Draft", tone: "neutral" },
  open: { label: "Open", tone: "warning" },
  paid: { label: "Paid", tone: "success" },
  uncollectible: { label: "Not collected", tone: "danger" },
  void: { label: "Void", tone: "neutral" },
};

function statusOf(status: string): StatusText {
  return STATUSES[status] ?? { label: status.replaceAll("_", " "), tone: "neutral" };
}
