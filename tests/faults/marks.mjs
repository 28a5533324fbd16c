// What an event is, in a few words that are the same in the log, in a client's ears and in the books of its sender.
// Tags of ours begin with their tenant: `t_fault_0/web1.17`.

export const seqOf = (offset) => Number(offset.slice(offset.lastIndexOf('-') + 1));
export const epochOf = (offset) => offset.slice(0, offset.lastIndexOf('-'));
export const conversationRoom = (id) => `conversation:${id}`;

// Names of what a backend of ours publishes, by class.
export const PUBLISHED = { durable: 'news', latest: 'price', ephemeral: 'passing' };
const CLASS_OF = Object.fromEntries(Object.entries(PUBLISHED).map(([kind, name]) => [name, kind]));
const LOGGED = new Set([PUBLISHED.durable, 'new_message', 'conversation_update', 'status_update']);

export const isLogged = (event) => LOGGED.has(event);
export const classOf = (event) => (isLogged(event) ? 'durable' : (CLASS_OF[event] ?? 'other'));

const TAG = /^[\w-]+\/\w+\.\d+$/;
export const isTag = (text) => typeof text === 'string' && TAG.test(text);
export const tenantOfTag = (tag) => tag.slice(0, tag.indexOf('/'));

// One word for one event: two that differ are never called the same.
const MARKS = {
  new_message: (data) => data.message ?? data.messageId,
  conversation_update: (data) => `${data.conversationId}@${data.version}=${data.lastMessage}`,
  status_update: (data) => `${data.messageId}=${data.status}`,
  presence_update: (data) => data.userId,
  typing: (data) => `${data.userId}@${data.conversationId}=${data.isTyping}`,
};
export const markOf = (event, data) => MARKS[event]?.(data) ?? data?.key;
