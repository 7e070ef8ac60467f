/** What an error says, in one text for people. */
export function inWords(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  // A name with several addresses fails with one error for each of them and no words of its own.
  if (error instanceof AggregateError && error.message === '') return error.errors.map(inWords).join(', ')
  return error.message
}
