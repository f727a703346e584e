// What a colour says: nothing, well, look, wrong, news.
export type Tone = 'neutral' | 'good' | 'warn' | 'bad' | 'info'
