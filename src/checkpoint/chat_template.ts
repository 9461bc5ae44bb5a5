/**
 * The template that most models have, white space around it aside; of equally many the one that comes first. Null where none has one.
 * mergekit's `chat_template: auto`, but that there the order of models, and so the winner of a tie, differs from run to run.
 */
export function commonTemplate(templates: readonly (string | null)[]): string | null {
  const votes = new Map<string, number>()
  for (const template of templates) {
    const text = template?.trim()
    if (text) votes.set(text, (votes.get(text) ?? 0) + 1)
  }
  let winner: string | null = null
  for (const [text, count] of votes) if (count > (winner === null ? 0 : votes.get(winner)!)) winner = text
  return winner
}
