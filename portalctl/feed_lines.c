#include "portalctl/feed_lines.h"
#include "shared/compiler.h"

const char *const feed_names[] = {
    "Ana Kowalczyk",  "Chiara Ng",      "Tomás Herrera", "Amina Yusuf",      "Jürgen Vogel",
    "Priya Raman",    "Olu Adeyemi",    "Mei-Ling Chen", "Søren Dahl",       "Fatima Zahra",
    "Lucas Oliveira", "Katya Morozova", "Yusuf Demir",   "Hannah O'Connor",  "Minh Trần",
    "Elif Kaya",      "Rafael Costa",   "Noor Haddad",   "Zoë van den Berg", "Ravi Patel",
    "Ingrid Larsen",  "Paolo Ricci",    "Grace Mwangi",  "Daniel Novák",
};
const size_t feed_name_count = countof(feed_names);

static const struct line kettle[] = {
    {LINE_CUSTOMER, "Hello, is the blue kettle back in stock?"},
    {LINE_AGENT, "Good morning! Yes, twelve came in yesterday."},
    {LINE_CUSTOMER, "Great"},
    {LINE_CUSTOMER, "Could you put one aside for me until Saturday?"},
    {LINE_AGENT, "Done. It is at the counter under your name."},
    {LINE_CUSTOMER, "Thank you so much 🙏"},
    {LINE_END, NULL},
};
static const struct line broken[] = {
    {LINE_CUSTOMER, "Hi, my parcel arrived today but the mug has a crack"},
    {LINE_AGENT, "Oh no, sorry about that! Can you send us a picture?"},
    {LINE_PICTURE, "broken handle"},
    {LINE_AGENT, "Thanks. A new one leaves today, you can keep the old one."},
    {LINE_CUSTOMER, "That was quick, thank you!"},
    {LINE_END, NULL},
};
static const struct line order[] = {
    {LINE_CUSTOMER, "Where is my order 4471?"},
    {LINE_CUSTOMER, "It said Tuesday"},
    {LINE_AGENT, "Let me look it up..."},
    {LINE_AGENT, "It is with the driver, you should have it before 6 pm."},
    {LINE_CUSTOMER, "Ok. I am at work until 5, can he leave it with the neighbour?"},
    {LINE_AGENT, "I have added a note: flat 3B."},
    {LINE_CUSTOMER, "Perfect 👍"},
    {LINE_END, NULL},
};
static const struct line hours[] = {
    {LINE_CUSTOMER, "Are you open on Sunday?"},
    {LINE_AGENT, "From 10 to 4, and there is coffee."},
    {LINE_CUSTOMER, "See you then!"},
    {LINE_END, NULL},
};
static const struct line sizes[] = {
    {LINE_CUSTOMER, "Bonjour, do these boots come in size 41?"},
    {LINE_PICTURE, "these ones, from the shop window"},
    {LINE_AGENT, "Yes, in black and in brown."},
    {LINE_CUSTOMER, "Brown please. How much is shipping to Lyon?"},
    {LINE_AGENT, "6.90 €, two to three days."},
    {LINE_CUSTOMER, "Parfait, I take them"},
    {LINE_AGENT, "Here is the payment link: https://pay.example/b41"},
    {LINE_CUSTOMER, "Paid ✅"},
    {LINE_END, NULL},
};
static const struct line invoice[] = {
    {LINE_CUSTOMER, "Could I have the invoice for last month, please?"},
    {LINE_AGENT, "Of course. To which company should it be made out?"},
    {LINE_CUSTOMER, "Larsen & Sons, same address as before"},
    {LINE_AGENT, "It is on its way to your mailbox."},
    {LINE_CUSTOMER, "Got it, thanks"},
    {LINE_END, NULL},
};
static const struct line refund[] = {
    {LINE_CUSTOMER, "I sent the lamp back ten days ago and have not seen my money"},
    {LINE_AGENT, "I am sorry. Do you have the tracking number?"},
    {LINE_PICTURE, "the receipt from the post office"},
    {LINE_AGENT, "Found it: it arrived on Monday. The refund goes out today."},
    {LINE_CUSTOMER, "Thanks for sorting it out"},
    {LINE_END, NULL},
};
static const struct line cake[] = {
    {LINE_CUSTOMER, "¡Hola! Can you make a cake for 20 people by Friday?"},
    {LINE_AGENT, "We can. Chocolate, lemon or carrot?"},
    {LINE_CUSTOMER, "Lemon"},
    {LINE_PICTURE, "something like this?"},
    {LINE_AGENT, "Lovely, that works. 48 € with the writing."},
    {LINE_CUSTOMER, "Write: Feliz cumpleaños, Abuela 🎂"},
    {LINE_AGENT, "Noted! Pick-up from 9 on Friday."},
    {LINE_END, NULL},
};
static const struct line table[] = {
    {LINE_CUSTOMER, "A table for four tonight at 8?"},
    {LINE_AGENT, "8 is full, would 8:30 do?"},
    {LINE_CUSTOMER, "8:30 is fine"},
    {LINE_CUSTOMER, "One of us is allergic to nuts"},
    {LINE_AGENT, "I have told the kitchen. See you tonight!"},
    {LINE_END, NULL},
};

const struct line *const feed_talks[] = {kettle, broken, order, hours, sizes, invoice, refund, cake, table};
const size_t feed_talk_count = countof(feed_talks);
