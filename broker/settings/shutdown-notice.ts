// The setting of the DISCONNECT that clients of MQTT 5 get when the broker stops: its kinds. Pure.

export const shutdownNotices = ['none', 'server_shutting_down', 'use_another_server', 'server_moved'] as const
export type ShutdownNotice = (typeof shutdownNotices)[number]
