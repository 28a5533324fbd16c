/* Feeds files to a harness, each once, from memory of exactly their size; for builds without libFuzzer. */
#include "tests/fuzz/fuzz.h"
#include <stdio.h>

static int replay(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END)) {
        perror(path);
        return 1;
    }
    long size = ftell(file);
    rewind(file);
    uint8_t *data = malloc(size > 0 ? (size_t)size : 1);
    MUST(data && size >= 0);
    int bad = fread(data, 1, (size_t)size, file) != (size_t)size;
    fclose(file);
    if (!bad)
        LLVMFuzzerTestOneInput(data, (size_t)size);
    free(data);
    return bad;
}

int main(int argc, char **argv)
{
    int bad = 0;
    for (int i = 1; i < argc; i++)
        bad |= replay(argv[i]);
    return bad;
}
