import java.net.URL;

/** Fetches a URL as any Java program does; a certificate that is not believed ends it with an exception. */
public class Fetch {
    public static void main(String[] args) throws Exception {
        new URL(args[0]).openStream().close();
        System.out.println("fetched");
    }
}
