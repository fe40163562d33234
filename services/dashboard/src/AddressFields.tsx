import type { Address } from "./types";

const FIELDS: { name: keyof Address; label: string; autoComplete: string; most: number }[] = [
  { name: "name", label: "Name", autoComplete: "name", most: 200 },
  { name: "street", label: "Street", autoComplete: "street-address", most: 200 },
  { name: "city", label: "City", autoComplete: "address-level2", most: 200 },
  { name: "postalCode", label: "Postal code", autoComplete: "postal-code", most: 200 },
  { name: "country", label: "Country (two letters, as in IE)", autoComplete: "country", most: 2 },
];

/** AddressFields are the fields of an address in a form; addressIn reads them. */
export function AddressFields({ address }: { address: Address }) {
  return FIELDS.map(({ name, label, autoComplete, most }) => (
    <label key={name} className="field">{label}
      <input name={name} defaultValue={address[name]} required maxLength={most} autoComplete={autoComplete} />
    </label>
  ));
}

export const addressIn = (form: FormData): Address =>
  Object.fromEntries(FIELDS.map(({ name }) => [name, String(form.get(name)).trim()])) as unknown as Address;
